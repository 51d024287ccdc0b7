// SPDX-License-Identifier: Apache-2.0
/// \file
/// The steady state allocates nothing: operator new is replaced, in this program, by one that
/// counts.
#include <millrace/codec/json.hpp>

#include "catch.hpp"
#include "codec/json_types.hpp"

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

namespace {

std::atomic<std::size_t> allocations{0};

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MILLRACE_TEST_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MILLRACE_TEST_SANITIZED
#endif

void expect_counting() {
#if defined(MILLRACE_TEST_SANITIZED)
  MILLRACE_SKIP("the sanitizer has an operator new of its own");
#endif
}

}  // namespace

#if !defined(MILLRACE_TEST_SANITIZED)
// Not inlined, or the compiler sees free() behind a new expression and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace {

using millrace::json;

const std::vector<std::string> documents = {
    R"({"flag":true,"small":-5,"large":1,"natural":2,"real":0.30000000000000004,"narrow":1.5,)"
    R"("text":"a text that does not fit into a string object","mode":"broken","at":1565625872125,)"
    R"("lasted":3,"place":{"lat":59.9,"lon":-10.7},"samples":[1,2.5,-3e-7],"tags":["x","y"],)"
    R"("triple":[1,2,3],"counts":{"a name that is longer than sixteen":1,"b":2},"places":{},)"
    R"("parts":[],"level":6})",
    R"({"flag":false,"small":7,"large":1,"natural":2,"real":1,"narrow":1.5,"unknown":{"x":[1]},)"
    R"("text":"another text with an \u00e9 and an escape \n or two, also long","mode":1,)"
    R"("at":"2019-08-12T16:04:32Z","lasted":3,"place":{"lon":59.9,"lat":-10.7},"samples":[1,2,3],)"
    R"("tags":["x","y"],"triple":[1,2,3],"counts":{"a name that is longer than sixteen":1,"b":2},)"
    R"("places":{},"parts":[]})"};

template <class T>
void decode_all(millrace::json_decoder<T>& decoder, T& out) {
  for (const std::string& document : documents) REQUIRE(decoder.decode(document, out));
}

template <class T>
std::size_t steady_allocations(millrace::json_decoder<T>& decoder) {
  T out{};
  for (int i = 0; i < 100; ++i) decode_all(decoder, out);
  const std::size_t before = allocations.load();
  std::size_t failures = 0;
  for (int i = 0; i < 100; ++i) {
    for (const std::string& document : documents) failures += !decoder.decode(document, out);
  }
  const std::size_t after = allocations.load();
  CHECK(failures == 0);
  return after - before;
}

}  // namespace

TEST_CASE("documents like those before are read without an allocation") {
  expect_counting();
  auto decoder = json.make_decoder<json_types::everything>();
  CHECK(steady_allocations(decoder) == 0);
  CHECK(decoder.slow_documents() == 0);
}

TEST_CASE("the exact reader allocates nothing either") {
  expect_counting();
  auto decoder = json.make_decoder<json_types::everything>();
  decoder.use_exact_reader_only();
  CHECK(steady_allocations(decoder) == 0);
}

TEST_CASE("dynamic records are read without an allocation once their fields are known") {
  expect_counting();
  auto decoder = json.make_decoder<millrace::dynamic_record>();
  CHECK(steady_allocations(decoder) == 0);
  CHECK(decoder.slow_documents() <= documents.size());
}

TEST_CASE("writing into a text with room allocates nothing") {
  expect_counting();
  auto decoder = json.make_decoder<json_types::everything>();
  auto encoder = json.make_encoder<json_types::everything>();
  json_types::everything value{};
  REQUIRE(decoder.decode(documents[0], value));
  std::string out;
  encoder.encode(value, out);
  out.clear();
  const std::size_t before = allocations.load();
  encoder.encode(value, out);
  CHECK(allocations.load() == before);
}
