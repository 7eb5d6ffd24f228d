// What run.json says of how a result came to be, and whether a run may go on under a configuration.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "trainer/config/load.h"
#include "trainer/data/dataset.h"
#include "trainer/run/preparation.h"

namespace cadre::run {

struct ReceiptInput {
  const config::Resolved& resolved;
  const Base& base;
  const data::Prepared& prepared;
  std::string chat_template_date;
};

// Configuration with origins, seed, versions, instruction set, sha256 of data, base model and this program.
boost::json::object make_receipt(const ReceiptInput& input);

// UserError names the first key that differs from the receipt of the run's first start and would change its
// mathematics; keys that only say when to log, save or where may change.
void require_same_mathematics(const boost::json::object& receipt, const boost::json::object& now);

}  // namespace cadre::run
