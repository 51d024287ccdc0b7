// SPDX-License-Identifier: Apache-2.0
/// \file
/// Files: `file::source` for lines, `file::sink` for JSON lines and lines of any other format.
#pragma once

#include <millrace/connectors/file/sink.hpp>
#include <millrace/connectors/file/source.hpp>
