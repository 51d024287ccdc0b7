// SPDX-License-Identifier: Apache-2.0
/// \file
/// HTTP: a polled source, calls for the async operator, and a sink.
#pragma once

#include <millrace/connectors/http/call.hpp>
#include <millrace/connectors/http/poll.hpp>
#include <millrace/connectors/http/sink.hpp>
