// The components that tokenizer.json declares beside its model. Each function takes the component, or null, and throws
// UserError with its place where it is unknown or malformed.
#pragma once

#include <optional>
#include <vector>

#include "trainer/tokenizer/json_object.h"
#include "trainer/tokenizer/pipeline.h"

namespace cadre::tokenizer {

TokenId read_id(const JsonPlace& place);

Normalizers read_normalizers(const JsonPlace& component);
// Into `pipeline`, whose model and normalizers are there already.
void read_pre_tokenizers(const JsonPlace& component, Pipeline& pipeline);
std::vector<TemplatePart> read_post_processor(const JsonPlace& component);
std::optional<Decoders> read_decoders(const JsonPlace& component);

// The steps of the ByteLevel pre-tokenizer but for its alphabet.
void add_byte_level(PreTokenizers& out, bool add_prefix_space, bool use_regex);

}  // namespace cadre::tokenizer
