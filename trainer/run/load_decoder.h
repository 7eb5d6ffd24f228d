// The tensors of a run at its start.
#pragma once

#include <memory>

#include "trainer/run/preparation.h"

namespace cadre::run {

// Loads the weights and gives the trained tensors their first values.
std::unique_ptr<model::Decoder> load_decoder(const Base& base, const config::Config& config);

}  // namespace cadre::run
