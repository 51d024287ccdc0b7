// SPDX-License-Identifier: Apache-2.0
// Manifests of checkpoints against any bytes. The first byte says whether length and checksum are
// made good before. What is accepted must survive being written and read again, and a store with
// such a checkpoint must be able to say what is wrong with it.
#include <millrace/base/crc32c.hpp>
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/snapshot.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace millrace;

void check(bool good) {
  if (!good) std::abort();
}

/// A good frame around any body.
std::string framed(std::string_view body) {
  snapshot_writer w;
  w.raw("MRCHKPNT", 8);
  w.number(checkpoint_format_version);
  w.number(std::uint32_t{0});
  w.number(std::uint64_t{body.size()});
  w.raw(body.data(), body.size());
  w.number(crc32c(w.view()));
  return w.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto bytes = data[0] % 2 == 0 ? std::string(input) : framed(input);
  const auto manifest = decode_manifest(bytes);
  if (manifest) {
    const auto written = encode(*manifest);
    const auto again = decode_manifest(written);
    check(again.has_value());
    check(encode(*again) == written);
  }
  if (!manifest) return 0;
  testing::faulty_file_system disk;
  const auto id = manifest->id;
  disk.put("s/" + manifest_name(id), bytes);
  disk.put("s/" + checkpoint_data_name(1), encode_data_header(1) + "some bytes of state");
  const auto store = checkpoint_store::open({.directory = "s",
                                             .access = store_access::read,
                                             .place = job_place::caller,
                                             .files = &disk})
                         .value();
  check(store->list().size() == 1);
  const auto latest = store->latest_complete();
  if (latest) check((*latest)->manifest.id == id);
  if (!latest) check(!store->verify(*manifest).empty());
  return 0;
}
