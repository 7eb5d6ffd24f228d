// HTML escaping, as markupsafe does it: |escape and |safe make strings that escape what is added to them.
#pragma once

#include "trainer/chat/value.h"

namespace cadre::chat {

Text escape_html(const Text& text);
Value markup(Text text);  // a string that counts as escaped
// `left` + `right`, at least one of which is escaped.
Value concatenate_markup(const Value& left, const Value& right);
// Tags and comments taken out, white space collapsed, entities resolved.
Text strip_tags(const Text& text);

}  // namespace cadre::chat
