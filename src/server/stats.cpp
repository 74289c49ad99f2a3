#include <sockserv/server/stats.hpp>

#include <array>
#include <atomic>
#include <sockserv/detail/counters.hpp>

namespace sockserv::inline abi_0 {
namespace {

using detail::Counters;

/// A figure of the statistics, and where it is counted.
struct Counted {
  std::uint64_t ServerStats::* figure;
  std::atomic<std::uint64_t> Counters::* counter;
};

constexpr std::array<Counted, 16> all_counted{{
    {&ServerStats::accepted, &Counters::accepted},
    {&ServerStats::completed, &Counters::completed},
    {&ServerStats::rejected_full, &Counters::rejected_full},
    {&ServerStats::rejected_per_address, &Counters::rejected_per_address},
    {&ServerStats::rejected_unverified, &Counters::rejected_unverified},
    {&ServerStats::aborted_idle_timeout, &Counters::aborted_idle_timeout},
    {&ServerStats::aborted_request_timeout, &Counters::aborted_request_timeout},
    {&ServerStats::aborted_prepare_timeout, &Counters::aborted_prepare_timeout},
    {&ServerStats::aborted_receive_rate, &Counters::aborted_receive_rate},
    {&ServerStats::aborted_drain, &Counters::aborted_drain},
    {&ServerStats::authentication_failures, &Counters::authentication_failures},
    {&ServerStats::handler_errors, &Counters::handler_errors},
    {&ServerStats::peers_gone, &Counters::peers_gone},
    {&ServerStats::accept_errors, &Counters::accept_errors},
    {&ServerStats::bytes_in, &Counters::bytes_in},
    {&ServerStats::bytes_out, &Counters::bytes_out},
}};
static_assert(sizeof(Counters) == all_counted.size() * sizeof(std::atomic<std::uint64_t>), "each counter has a row");

}  // namespace

ServerStats detail::stats_of(const Counters& counters) noexcept {
  ServerStats stats;
  for (const Counted& each : all_counted) stats.*each.figure = counters.*each.counter;
  stats.rejected = stats.rejected_full + stats.rejected_per_address + stats.rejected_unverified;
  return stats;
}

ServerStats& ServerStats::operator+=(const ServerStats& other) noexcept {
  for (const Counted& each : all_counted) this->*each.figure += other.*each.figure;
  rejected += other.rejected;
  active += other.active;
  return *this;
}

}  // namespace sockserv::inline abi_0
