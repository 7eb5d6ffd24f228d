// Under a user's own `mpirun -n 8 cadre train CONFIG` nobody of ours outlives the ranks, as the launcher does. So the
// first rank starts one: a process in a session of its own that runs a Launcher without islands, keeps the coordinator
// alive and ends with it. It talks to the rank that started it once, by pipes: a message in, a Boot back.
#pragma once

#include <string>
#include <vector>

#include "launch/boot.h"

namespace cadre::launch {

struct SupervisorStart {
  std::vector<std::string> command = {};
  std::string message = {};  // what receive_message() returns there
};

// In the first rank, while boot_from_first_rank() asks for the message: returns the supervisor's answer, which is that
// message. Until then the supervisor's stderr is the rank's. UserError or RunError when it gives no answer.
std::string start_supervisor(const SupervisorStart& start);

// In the supervisor, in this order. With the answer its stdout and stderr lead nowhere: mpirun would wait for whoever
// holds the rank's.
std::string receive_message();
void answer(const Boot& boot);
// Instead, where it cannot start: start_supervisor() throws this there.
void answer_problem(const std::string& problem, bool user_can_mend);

}  // namespace cadre::launch
