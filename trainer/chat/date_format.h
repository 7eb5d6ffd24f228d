// What strftime_now gives: one fixed day, at midnight, with English names.
#pragma once

#include <string>
#include <string_view>

namespace cadre::chat {

// Whether `date` is a day of the calendar, YYYY-MM-DD, years 1900 to 9999.
bool is_date(std::string_view date);
// Failure where `date` is empty or a directive is not implemented.
std::string format_date(std::string_view date, std::string_view format);

}  // namespace cadre::chat
