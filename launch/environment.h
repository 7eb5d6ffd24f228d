// What this process is given by whoever started it: what the libraries under us read from the environment, some of it
// before main, set once, by starting the program again; and its limits.
#pragma once

namespace cadre::launch {

// Returns at once when everything is set (by us or by the user), else does not return: execs this program with the same
// arguments. Two things are set. How long threads that wait for each other spin: by default it is milliseconds, which
// on a machine that is shared costs many times the work itself. And which instructions the numerical libraries use
// (runtime/instruction_set.h): the widest that this machine has.
void settle_environment(char** argv);

// As many descriptors as the system allows, so that those that strangers take are not missed. Not in the launcher: what
// it starts would inherit that, and programs that close all descriptors up to the limit would take long.
void allow_many_descriptors();

// UserError when the environment asks for instructions that this machine lacks.
void require_possible_instructions();

}  // namespace cadre::launch
