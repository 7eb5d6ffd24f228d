// The `cadre` command: takes the verb, turns what it throws into a message and an exit code.
#include <c10/util/Exception.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <set>

#include "launch/arguments.h"
#include "launch/environment.h"
#include "launch/exit_code.h"
#include "launch/help.h"
#include "launch/machine.h"
#include "launch/verbs.h"
#include "runtime/cut_files.h"
#include "runtime/error.h"
#include "runtime/instruction_set.h"
#include "runtime/plain_text.h"

namespace {

using namespace cadre;

const std::string kOutOfMemory = "out of memory; a smaller micro_batch_size, sequence_len or model needs less";

int run(const launch::Arguments& arguments) {
  using Verb = int (*)(launch::Arguments);
  static const std::map<std::string, Verb> kVerbs = {
      {"train", launch::train},        {"generate", launch::generate},  {"merge", launch::merge},
      {"verify", launch::verify},      {"status", launch::show_status}, {"stop", launch::stop},
      {"doctor", launch::show_doctor}, {"init", launch::init},          {"coordinator", launch::coordinator},
      {"rank", launch::rank},          {"relay", launch::relay}};
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
  // Verbs that only look work everywhere, and `doctor` says this in its own way.
  static const std::set<std::string> kComputing = {"train", "generate", "merge", "verify"};
  const std::string problem =
      runtime::problem_of_pins(runtime::pins_in_environment(), launch::processor_instructions());
  if (!problem.empty() && kComputing.contains(arguments.verb)) throw runtime::UserError(problem);
  return verb->second(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  launch::settle_environment(argv);
  runtime::end_with_a_word_on_cut_files();
  try {
    const launch::Arguments arguments = launch::parse_arguments({argv + 1, argv + argc});
    if (arguments.has("version")) {
      std::cout << "cadre " << CADRE_VERSION << '\n';
      return launch::kDone;
    }
    return run(arguments);
  } catch (const runtime::UserError& error) {
    std::cerr << "cadre: " << runtime::plain_line(error.what()) << '\n';
    return launch::kUserMustMend;
  } catch (const std::bad_alloc&) {
    std::cerr << "cadre: " << kOutOfMemory << '\n';
    return launch::kFailed;
  } catch (const c10::Error& error) {
    // LibTorch's own message carries its stack; a user needs the first line.
    const std::string what = error.what_without_backtrace();
    const bool memory = what.find("can't allocate memory") != std::string::npos;
    std::cerr << "cadre: " << (memory ? kOutOfMemory : runtime::plain_line(what)) << '\n';
    return launch::kFailed;
  } catch (const std::exception& error) {
    std::cerr << "cadre: " << runtime::plain_line(error.what()) << '\n';
    return launch::kFailed;
  }
}
