// What the kernel does for a connection, and whether packets still pass between its ends, whatever the processes do.
#pragma once

namespace cadre::comm {

// Small messages leave at once, and a connection on which nothing is under way is ended some seconds after its packets
// stop passing. No effect on what is no TCP socket.
void prepare(int socket);

// Something is under way, and for seconds nothing has come back.
bool is_path_cut(int socket);

}  // namespace cadre::comm
