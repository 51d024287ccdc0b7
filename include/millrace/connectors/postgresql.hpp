// SPDX-License-Identifier: Apache-2.0
/// \file
/// PostgreSQL: `postgresql::sink`. The component `millrace::postgresql`.
#pragma once

#include <millrace/connectors/postgresql/sink.hpp>
