// SPDX-License-Identifier: Apache-2.0
/// \file
/// MQTT 3.1.1 and 5: `mqtt::source` subscribes, `mqtt::sink` publishes.
#pragma once

#include <millrace/connectors/mqtt/message.hpp>
#include <millrace/connectors/mqtt/options.hpp>
#include <millrace/connectors/mqtt/sink.hpp>
#include <millrace/connectors/mqtt/source.hpp>
