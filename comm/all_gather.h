// Every chunk's new values from its owner to everybody.
#pragma once

#include <span>

#include "comm/communicator.h"
#include "runtime/chunks.h"
#include "runtime/placement.h"

namespace cadre::comm {

// `values` is the whole flat space: right in the chunks that this member owns or backs up (who hold the same bits), and
// on return everywhere. CommError, Aborted.
void all_gather(Communicator& communicator, const runtime::ChunkSpace& chunks, const runtime::Placement& placement,
                std::span<float> values);

}  // namespace cadre::comm
