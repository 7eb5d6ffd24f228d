// A thread that no signal is delivered to: they are for the main thread.
#pragma once

#include <functional>
#include <thread>

namespace cadre::runtime {

// `name`: at most 15 bytes, for people who look at the process.
std::thread start_quiet_thread(const char* name, std::function<void()> work);

}  // namespace cadre::runtime
