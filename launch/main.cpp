// The `cadre` command: takes the verb, turns what it throws into a message and an exit code.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "launch/arguments.h"
#include "launch/environment.h"
#include "launch/exit_code.h"
#include "launch/help.h"
#include "launch/last_words.h"
#include "launch/verbs.h"
#include "runtime/cut_files.h"
#include "runtime/error.h"

namespace {

using namespace cadre;

int run(const launch::Arguments& arguments) {
  using Verb = int (*)(launch::Arguments);
  static const std::map<std::string, Verb> kVerbs = {{"train", launch::train},
                                                     {"generate", launch::generate},
                                                     {"merge", launch::merge},
                                                     {"verify", launch::verify},
                                                     {"status", launch::show_status},
                                                     {"stop", launch::stop},
                                                     {"drain", launch::drain},
                                                     {"join", launch::join},
                                                     {"doctor", launch::show_doctor},
                                                     {"init", launch::init},
                                                     {"coordinator", launch::coordinator},
                                                     {"rank", launch::rank},
                                                     {"relay", launch::relay},
                                                     {"supervise", launch::supervise}};
  static const std::map<std::string, std::string> kPlanned = {
      {"plan", "memory, steps, time and money before anything is started"},
      {"check", "the data gate"},
      {"eval", "base against tuned on held-out data"}};
  if (arguments.verb.empty() || arguments.verb == "help" || arguments.has("help")) {
    launch::print_help(arguments.verb, std::cout);
    return arguments.verb.empty() && !arguments.has("help") ? launch::kUserMustMend : launch::kDone;
  }
  if (const auto planned = kPlanned.find(arguments.verb); planned != kPlanned.end()) {
    throw runtime::UserError(arguments.verb + " (" + planned->second + ") is not built yet");
  }
  const auto verb = kVerbs.find(arguments.verb);
  if (verb == kVerbs.end()) {
    throw runtime::UserError("'" + arguments.verb + "' is not a verb of cadre; see cadre --help");
  }
  // Verbs that only look work everywhere, and `doctor` says this in its own way. `train` looks itself: the ranks of a
  // user's own mpirun say it once.
  static const std::set<std::string> kComputing = {"generate", "merge", "verify"};
  if (kComputing.contains(arguments.verb)) launch::require_possible_instructions();
  return verb->second(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  launch::settle_environment(argv);
  runtime::end_with_a_word_on_cut_files();
  int code = launch::kDone;
  try {
    const launch::Arguments arguments = launch::parse_arguments({argv + 1, argv + argc});
    if (arguments.has("version")) {
      std::cout << "cadre " << CADRE_VERSION << '\n';
    } else {
      code = run(arguments);
    }
  } catch (...) {
    code = launch::say_last_words();
  }
  // LibTorch takes 60 ms to take its tables down, which nobody needs: all that is to be kept has been closed.
  if (!std::cout.flush() && code == launch::kDone) {
    std::cerr << "cadre: what was to be printed could not be written: is the disk full, or the reader gone?\n";
    code = launch::kFailed;
  }
  std::fflush(nullptr);
  std::_Exit(code);
}
