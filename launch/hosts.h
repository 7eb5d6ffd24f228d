// `--hosts a:4,b:4`.
#pragma once

#include <string>
#include <vector>

#include "launch/launcher.h"

namespace cadre::launch {

// One island a host, in the order given. UserError: no host, a host twice, a count that is none.
std::vector<IslandSpec> parse_hosts(const std::string& text);

}  // namespace cadre::launch
