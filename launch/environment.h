// What the libraries under us read from the environment before main: set once, by starting the program again.
#pragma once

namespace cadre::launch {

// Returns at once when everything is set (by us or by the user), else does not return: execs this program with the same
// arguments. Without it, threads that wait for each other spin for milliseconds, which on a machine that is shared
// costs many times the work itself.
void settle_environment(char** argv);

}  // namespace cadre::launch
