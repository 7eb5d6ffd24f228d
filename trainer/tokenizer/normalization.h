// Unicode's normalization forms as `tokenizers` computes them (tables of Unicode 9, see unicode_tables.h).
#pragma once

#include "trainer/tokenizer/mapped_text.h"

namespace cadre::tokenizer {

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

void normalize(MappedText& text, NormalizationForm form);

}  // namespace cadre::tokenizer
