// SPDX-License-Identifier: Apache-2.0
/// \file
/// The MQTT codec, both directions, both versions, client and server side. Thread safe: functions
/// without state.
#pragma once

#include <millrace/net/mqtt/decode.hpp>
#include <millrace/net/mqtt/encode.hpp>
#include <millrace/net/mqtt/packet.hpp>
#include <millrace/net/mqtt/property.hpp>
#include <millrace/net/mqtt/text.hpp>
#include <millrace/net/mqtt/types.hpp>
