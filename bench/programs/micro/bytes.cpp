/// What it costs to find lines and messages in bytes that are there.

#include <benchmark/benchmark.h>

#include <cstring>
#include <sockserv/files.hpp>
#include <sockserv/layer/framing.hpp>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t batch = 65536;

std::string lines_of(std::size_t size) {
  std::string line(size, '.');
  line.back() = '\n';
  std::string lines;
  while (lines.size() < batch) lines += line;
  return lines;
}

void readline(benchmark::State& state) {
  const std::string lines = lines_of(static_cast<std::size_t>(state.range(0)));
  std::int64_t count = 0;
  while (state.KeepRunning()) {
    sockserv::InputFile rfile(lines);
    while (const auto line = rfile.readline()) {
      benchmark::DoNotOptimize(line->data());
      ++count;
    }
  }
  state.SetItemsProcessed(count);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(lines.size()));
}
BENCHMARK(readline)->Arg(16)->Arg(64)->Arg(1024);

/// The floor: memchr(3) over the same lines.
void memchr_lines(benchmark::State& state) {
  const std::string lines = lines_of(static_cast<std::size_t>(state.range(0)));
  std::int64_t count = 0;
  while (state.KeepRunning()) {
    std::string_view rest = lines;
    while (const void* const end = std::memchr(rest.data(), '\n', rest.size())) {
      rest.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(end) - rest.data()) + 1);
      benchmark::DoNotOptimize(rest.data());
      ++count;
    }
  }
  state.SetItemsProcessed(count);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(lines.size()));
}
BENCHMARK(memchr_lines)->Arg(16)->Arg(64)->Arg(1024);

/// Messages of a size, of which `piece` bytes come at a time.
void frame_decode(benchmark::State& state) {
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  const auto piece = static_cast<std::size_t>(state.range(1));
  std::string frames;
  while (frames.size() < batch) {
    const auto size = static_cast<unsigned>(payload.size());
    for (const int shift : {24, 16, 8, 0}) frames += static_cast<char>(size >> shift);
    frames += payload;
  }
  std::int64_t count = 0;
  while (state.KeepRunning()) {
    sockserv::MessageDecoder decoder;
    for (std::size_t at = 0; at < frames.size(); at += piece) {
      std::string_view bytes = std::string_view(frames).substr(at, piece);
      while (const auto message = decoder.decode(bytes)) {
        benchmark::DoNotOptimize(message->data());
        ++count;
      }
    }
  }
  state.SetItemsProcessed(count);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(frames.size()));
}
BENCHMARK(frame_decode)->ArgNames({"size", "piece"})->Args({64, 65536})->Args({64, 50})->Args({4096, 1460});

}  // namespace
