// Compiled for AVX-512F and called only where the processor has it.
#include "trainer/kernels/panel_product_body.h"

namespace cadre::kernels {

void panel_product_512(const PanelProduct& product, bool narrow) {
  panel<16, kPanelRows>(product, narrow);
}

}  // namespace cadre::kernels
