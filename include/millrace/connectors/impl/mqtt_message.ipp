// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/mqtt/message.hpp>

namespace millrace::mqtt {

MILLRACE_DECL incoming_trace incoming_trace_of(const message& from) {
  incoming_trace found;
  if (from.properties.empty()) return found;
  property_view rest = from.properties;
  while (const auto p = rest.take()) {
    if (p->id != property_id::user_property) continue;
    if (p->name == traceparent_name) {
      found.parent = p->text;
      ++found.parents;
    } else if (p->name == tracestate_name) {
      if (!found.state.empty()) found.state.push_back(',');
      found.state.append(p->text);
    }
  }
  return found;
}

}  // namespace millrace::mqtt
