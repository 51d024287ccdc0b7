// SPDX-License-Identifier: Apache-2.0
/// \file
/// The exact reader: simdjson On-Demand, driven by the tables of a type. It reads all that is valid
/// and says what is wrong with the rest. simdjson itself stays behind a pointer. Not thread safe.
#pragma once

#include <millrace/base/result.hpp>
#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/record/schema.hpp>

#include <memory>
#include <string_view>

namespace millrace::detail {

class json_reading;

class json_reader {
 public:
  /// `plan` outlives the reader.
  MILLRACE_DECL explicit json_reader(json_plan& plan);
  MILLRACE_DECL ~json_reader();
  json_reader(const json_reader&) = delete;
  json_reader& operator=(const json_reader&) = delete;

  /// Fills `out`, an object of the plan's type, from `text`; 64 bytes behind it are readable.
  /// When `registry` is given, fields that it does not know are added to it, provided that the
  /// document is valid, and `fields` becomes the new schema.
  MILLRACE_DECL result<void> read(std::string_view text, void* out, schema_ptr& fields,
                                  schema_registry* registry);

 private:
  std::unique_ptr<json_reading> reading_;
};

}  // namespace millrace::detail
