// What a YAML 1.2 scalar means (core schema), and how a value is written so that it is read back as it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cadre::config {

enum class Meaning { kNull, kBoolean, kInteger, kNumber, kText };

// Of a scalar without quotes. `010` is the integer 10; `yes`, `on` and `1_000` are text, as in YAML 1.2.
Meaning meaning_of(std::string_view plain);

bool is_true(std::string_view boolean);
// The value of a kInteger; none past int64.
std::optional<std::int64_t> integer_of(std::string_view integer);
// The value of a kInteger or kNumber; none where it is not finite or beyond double's range.
std::optional<double> number_of(std::string_view number);
// What YAML 1.1 took for a truth value and 1.2 does not: yes, no, on, off, y, n.
bool is_old_boolean(std::string_view plain);

// Plain where that reads back as the same text, else in double quotes.
std::string write_text(const std::string& text);
// The shortest digits that read back as the same double.
std::string write_number(double number);

}  // namespace cadre::config
