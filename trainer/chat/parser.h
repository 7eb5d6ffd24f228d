// Template source to syntax tree.
#pragma once

#include <string_view>

#include "trainer/chat/lexer.h"
#include "trainer/chat/syntax_tree.h"

namespace cadre::chat {

struct ParsedTemplate {
  Body body;
  bool has_generation_blocks = false;
};

// SyntaxFailure for what is not Jinja, for a construct that is not implemented, and, as Jinja does, for a filter or
// test that does not exist, unless inside an if, where only its use is an error.
ParsedTemplate parse(std::string_view source);

}  // namespace cadre::chat
