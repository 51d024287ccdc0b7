// SPDX-License-Identifier: Apache-2.0
// expect: decode<U>(codec): the stream must carry messages (members payload and owner)
#include <millrace/codec/json.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <map>
#include <string>

void wrong(millrace::pipeline& p) {
  using table = std::map<std::string, int>;
  p.source("in", millrace::memory::source<int>({1, 2})).decode<table>(millrace::json);
}
