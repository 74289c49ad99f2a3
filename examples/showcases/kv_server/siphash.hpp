#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kv {

/// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one round for each word and three at
/// the end). Who does not know the key cannot find texts with the same hash, with which clients could make a hash table
/// as slow as a list.
std::uint64_t siphash(const std::array<std::uint64_t, 2>& key, std::string_view text) noexcept;

}  // namespace kv
