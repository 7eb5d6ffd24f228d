#include "launch/last_words.h"

#include <algorithm>
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
  } catch (const runtime::Stopped& stopped) {
    return say(kResumable, runtime::say(stopped.what(), "; the same command goes on from here"));
  } catch (const std::bad_alloc&) {
    return say(kFailed, kOutOfMemory);
  } catch (const std::exception& error) {
    // LibTorch's message carries its stack; a user needs what comes before.
    std::string what = error.what();
    what.resize(std::min(what.size(), what.find("\nException raised from ")));
    const bool memory = what.find("can't allocate memory") != std::string::npos;
    return say(kFailed, memory ? kOutOfMemory : what);
  }
}

}  // namespace cadre::launch
