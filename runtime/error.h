// Errors that are not bugs, by who can do something about them.
//
//   UserError     the user: an option, the configuration, the data, a model folder. Ends in exit code 2.
//   RunError      nobody right now: a disk, a device, a peer. Ends in exit code 1.
//   check_failed  nobody ever: an invariant of ours. Thrown by CADRE_CHECK in every build type.
//
// A message is one line: where (file:line:column or row), what was expected, what was found, what to do.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace cadre::runtime {

class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Somebody asked for the end, and what was under way has been left.
class Stopped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Joins its arguments as `operator<<` prints them; for messages.
template <typename... Parts>
std::string say(const Parts&... parts) {
  std::ostringstream out;
  static_cast<void>((out << ... << parts));
  return out.str();
}

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition, const std::string& values) {
  throw std::logic_error(
      say(file, ":", line, ": internal check failed: ", condition, values.empty() ? "" : ": ", values));
}

}  // namespace cadre::runtime

// CADRE_CHECK(a == b, "a = ", a, ", b = ", b): an invariant, checked in every build type.
#define CADRE_CHECK(condition, ...)                                                                       \
  do {                                                                                                    \
    if (!(condition)) [[unlikely]]                                                                        \
      ::cadre::runtime::check_failed(__FILE__, __LINE__, #condition, ::cadre::runtime::say(__VA_ARGS__)); \
  } while (false)
