#include "trainer/chat/date_format.h"

#include <chrono>
#include <string>

#include "runtime/error.h"
#include "trainer/chat/budget.h"

namespace cadre::chat {
namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

struct Day {
  int year = 0, month = 0, day = 0, weekday = 0, day_of_year = 0;
};

bool read(std::string_view date, Day& out) {
  if (date.size() != 10 || date[4] != '-' || date[7] != '-') return false;
  const auto number = [&](std::size_t at, std::size_t n) {
    int value = 0;
    for (const char c : date.substr(at, n)) {
      if (c < '0' || c > '9') return -1;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  out.year = number(0, 4);
  out.month = number(5, 2);
  out.day = number(8, 2);
  if (out.year < 1900 || out.month < 1 || out.day < 1) return false;
  const std::chrono::year_month_day day{std::chrono::year{out.year},
                                        std::chrono::month(static_cast<unsigned>(out.month)),
                                        std::chrono::day(static_cast<unsigned>(out.day))};
  if (!day.ok()) return false;
  const std::chrono::sys_days days{day};
  out.weekday = static_cast<int>(std::chrono::weekday{days}.c_encoding());
  out.day_of_year = static_cast<int>((days - std::chrono::sys_days{day.year() / std::chrono::January / 1}).count()) + 1;
  return true;
}

std::string padded(int value, int width, char fill, char flag) {
  std::string digits = std::to_string(value);
  if (flag == '-') return digits;
  if (flag == '_') fill = ' ';
  if (flag == '0') fill = '0';
  while (digits.size() < static_cast<std::size_t>(width)) digits.insert(digits.begin(), fill);
  return digits;
}

// The week and year of ISO 8601.
std::pair<int, int> iso_week(const Day& day) {
  const int weekday = day.weekday == 0 ? 7 : day.weekday;
  const auto weeks_in = [](int year) {
    const auto p = [](int y) { return (y + y / 4 - y / 100 + y / 400) % 7; };
    return p(year) == 4 || p(year - 1) == 3 ? 53 : 52;
  };
  const int week = (day.day_of_year - weekday + 10) / 7;
  if (week < 1) return {weeks_in(day.year - 1), day.year - 1};
  if (week > weeks_in(day.year)) return {1, day.year + 1};
  return {week, day.year};
}

}  // namespace

bool is_date(std::string_view date) {
  Day day;
  return read(date, day);
}

std::string format_date(std::string_view date, std::string_view format) {
  Day day;
  if (!read(date, day)) throw Failure("strftime_now needs a date: set chat_template_date to YYYY-MM-DD");
  Budget::allocate(16 * format.size());
  std::string out;
  const std::string_view weekday = kDays[day.weekday], month = kMonths[day.month - 1];
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (++i >= format.size()) {
      out += '%';
      break;
    }
    char flag = '\0';
    if (format[i] == '-' || format[i] == '_' || format[i] == '0' || format[i] == '^') {
      flag = format[i];
      if (++i >= format.size()) throw Failure("strftime_now: an unfinished directive");
    }
    const auto name = [flag](std::string_view text) {
      std::string written(text);
      for (char& c : written) {
        if (flag == '^' && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
      }
      return written;
    };
    const auto part = [&](std::string_view inner) { return format_date(date, inner); };
    switch (format[i]) {
      case '%':
        out += '%';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'a':
        out += name(weekday.substr(0, 3));
        break;
      case 'A':
        out += name(weekday);
        break;
      case 'b':
      case 'h':
        out += name(month.substr(0, 3));
        break;
      case 'B':
        out += name(month);
        break;
      case 'd':
        out += padded(day.day, 2, '0', flag);
        break;
      case 'e':
        out += padded(day.day, 2, ' ', flag);
        break;
      case 'm':
        out += padded(day.month, 2, '0', flag);
        break;
      case 'y':
        out += padded(day.year % 100, 2, '0', flag);
        break;
      case 'Y':
        out += std::to_string(day.year);
        break;
      case 'C':
        out += padded(day.year / 100, 2, '0', flag);
        break;
      case 'j':
        out += padded(day.day_of_year, 3, '0', flag);
        break;
      case 'u':
        out += std::to_string(day.weekday == 0 ? 7 : day.weekday);
        break;
      case 'w':
        out += std::to_string(day.weekday);
        break;
      case 'U':
        out += padded((day.day_of_year + 6 - day.weekday) / 7, 2, '0', flag);
        break;
      case 'W':
        out += padded((day.day_of_year + 6 - (day.weekday + 6) % 7) / 7, 2, '0', flag);
        break;
      case 'V':
        out += padded(iso_week(day).first, 2, '0', flag);
        break;
      case 'G':
        out += std::to_string(iso_week(day).second);
        break;
      case 'g':
        out += padded(iso_week(day).second % 100, 2, '0', flag);
        break;
      case 'H':
        out += padded(0, 2, '0', flag);
        break;
      case 'k':
        out += padded(0, 2, ' ', flag);
        break;
      case 'I':
        out += padded(12, 2, '0', flag);
        break;
      case 'l':
        out += padded(12, 2, ' ', flag);
        break;
      case 'M':
      case 'S':
        out += padded(0, 2, '0', flag);
        break;
      case 'f':
        out += "000000";
        break;
      case 'p':
        out += "AM";
        break;
      case 'P':
        out += "am";
        break;
      case 'z':
      case 'Z':
        break;
      case 'D':
      case 'x':
        out += part("%m/%d/%y");
        break;
      case 'F':
        out += part("%Y-%m-%d");
        break;
      case 'T':
      case 'X':
        out += part("%H:%M:%S");
        break;
      case 'R':
        out += part("%H:%M");
        break;
      case 'r':
        out += part("%I:%M:%S %p");
        break;
      case 'c':
        out += part("%a %b %e %H:%M:%S %Y");
        break;
      default:
        throw Failure(runtime::say("strftime_now: the directive %", format[i], " is not implemented"));
    }
  }
  return out;
}

}  // namespace cadre::chat
