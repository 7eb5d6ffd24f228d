// The signals that ask a run to end while it is being set up, before the launcher listens for them.
#pragma once

namespace cadre::launch {

// From now on the first SIGTERM, SIGINT or SIGHUP is remembered and a second one ends the process. Those that are
// ignored, as nohup and a shell's background jobs wish it, stay so.
void remember_early_signals();

// The number of the one that came; 0: none.
int early_signal();

// "SIGTERM", of one of these three.
const char* name_of_signal(int number);

}  // namespace cadre::launch
