#include "launch/last_words.h"

#include <c10/util/Exception.h>

#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "launch/exit_code.h"
#include "runtime/error.h"
#include "runtime/plain_text.h"

namespace cadre::launch {
namespace {

constexpr char kOutOfMemory[] = "out of memory; a smaller micro_batch_size, sequence_len or model needs less";

int say(int code, const std::string& words) {
  std::cerr << "cadre: " + runtime::plain_line(words) + "\n" << std::flush;
  return code;
}

}  // namespace

int say_last_words() {
  try {
    throw;
  } catch (const runtime::UserError& error) {
    return say(kUserMustMend, error.what());
  } catch (const std::bad_alloc&) {
    return say(kFailed, kOutOfMemory);
  } catch (const c10::Error& error) {
    // LibTorch's own message carries its stack; a user needs the first line.
    const std::string what = error.what_without_backtrace();
    const bool memory = what.find("can't allocate memory") != std::string::npos;
    return say(kFailed, memory ? kOutOfMemory : what);
  } catch (const std::exception& error) {
    return say(kFailed, error.what());
  }
}

}  // namespace cadre::launch
