#include "trainer/kernels/panel_product_body.h"

namespace cadre::kernels {

// 6 × 2 accumulators of AVX2's 16 registers.
void panel_product_256(const PanelProduct& product, bool narrow) {
  panel<8, 6>(product, narrow);
}

}  // namespace cadre::kernels
