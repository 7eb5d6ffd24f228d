// What users of other tools write at the top level: names and values that say what a key of ours says, and those that
// nothing stands behind yet.
#pragma once

#include <vector>

#include "trainer/config/schema.h"

namespace cadre::config {

std::vector<Translation> run_translations();
std::vector<NotBuilt> run_not_built();

}  // namespace cadre::config
