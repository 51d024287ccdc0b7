// SPDX-License-Identifier: Apache-2.0
// Feeds a fuzz target its seed corpus, and variants of each seed, without a fuzzing engine: what
// was found once stays fixed with every compiler. Usage: replay <folder>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using bytes = std::vector<std::uint8_t>;

// A block of exactly that size, so that a sanitizer sees the first byte read too many.
void feed(const bytes& input) {
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[input.size()]);
  for (std::size_t i = 0; i < input.size(); ++i) copy[i] = input[i];
  LLVMFuzzerTestOneInput(copy.get(), input.size());
}

void feed_variants(const bytes& seed) {
  feed(seed);
  constexpr std::size_t most = 512;
  const std::size_t step = seed.size() / most + 1;
  for (std::size_t cut = 0; cut < seed.size(); cut += step) {
    feed(bytes(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(cut)));
  }
  bytes doubled = seed;
  doubled.insert(doubled.end(), seed.begin(), seed.end());
  feed(doubled);
  std::mt19937 random(20'240'101);  // fixed: the same inputs everywhere
  for (std::size_t round = 0; round < 4 * most && !seed.empty(); ++round) {
    bytes flipped = seed;
    for (std::size_t change = 0; change <= round % 4; ++change) {
      flipped[random() % flipped.size()] = static_cast<std::uint8_t>(random());
    }
    feed(flipped);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: replay <folder of seeds>\n");
    return 2;
  }
  int seeds = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    feed_variants(bytes(std::istreambuf_iterator<char>(in), {}));
    ++seeds;
  }
  std::printf("%d seeds\n", seeds);
  return seeds > 0 ? 0 : 1;
}
