// Whether packets still pass between the two ends of a connection, as the kernel knows it, whatever the processes do.
#pragma once

namespace cadre::comm {

// A connection on which nothing is under way is ended by the kernel some seconds after its packets stop passing. No
// effect on what is no TCP socket.
void probe_when_idle(int socket);

// Something is under way, and for seconds nothing has come back.
bool is_path_cut(int socket);

}  // namespace cadre::comm
