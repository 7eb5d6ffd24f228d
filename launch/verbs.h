// The verbs of the command line. Each takes its arguments, prints to stdout what was asked for and returns an exit
// code; what goes wrong is thrown.
#pragma once

#include "launch/arguments.h"
#include "runtime/run_folder.h"

namespace cadre::launch {

int train(Arguments arguments);
int generate(Arguments arguments);
int merge(Arguments arguments);
int verify(Arguments arguments);
int show_status(Arguments arguments);
int stop(Arguments arguments);
int drain(Arguments arguments);
int join(Arguments arguments);
int show_doctor(Arguments arguments);
int init(Arguments arguments);

// The folder of a run whose launcher lives. UserError: there is none.
runtime::FolderState live_run(const std::string& folder);

struct MpiBoot;
// A rank's life from the end of MPI on.
int run_rank(const MpiBoot& mpi);

// Hidden: the processes that `train` starts.
int coordinator(Arguments arguments);
int rank(Arguments arguments);
int relay(Arguments arguments);
int supervise(Arguments arguments);

}  // namespace cadre::launch
