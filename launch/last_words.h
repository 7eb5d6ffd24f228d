// What a process says when something was thrown that nobody caught.
#pragma once

namespace cadre::launch {

// To be called in a catch block: one line on stderr about what is being handled, without a stack. Returns the exit code
// that it asks for.
int say_last_words();

}  // namespace cadre::launch
