// `cadre doctor`: what this machine has and lacks, each lack with the command that mends it.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "launch/machine.h"

namespace cadre::launch {

struct Finding {
  enum class Kind {
    kHas,    // here
    kLacks,  // a run or a build does not work without it
    kCould,  // only needed for something that not everybody does
  };
  Kind kind;
  std::string subject;
  std::string found;
  std::string mend = {};  // the command; empty where nothing can be done, or need be
};

// Pure: from facts to findings, in the order in which they are shown.
std::vector<Finding> diagnose(const Machine& machine);

// Looks, and prints the findings. Returns the exit code: 0, or 2 when something is lacking that the user can mend.
int doctor(std::ostream& out);

}  // namespace cadre::launch
