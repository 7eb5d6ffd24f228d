// The middle of a gated MLP (Shazeer 2020): y = act(gate) · up, gate and up side by side in one row.
#pragma once

#include <cstdint>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

enum class Gate { kSilu, kGelu, kGeluTanh };

// gate_up [rows, 2·width]: gate first; y [rows, width].
template <typename T>
void gated_forward(Gate gate, std::int64_t rows, std::int64_t width, const T* gate_up, T* y);

// d_gate_up [rows, 2·width].
template <typename T>
void gated_backward(Gate gate, std::int64_t rows, std::int64_t width, const T* gate_up, const T* dy, T* d_gate_up);

}  // namespace cadre::kernels
