#include "launch/boot.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace cadre::launch {
namespace {

TEST(Boot, IsReadBackAsItWas) {
  const Boot boot{.run_id = "r-1",
                  .token = std::string("\0\x01\xff\x80 \n", 6),
                  .coordinator = {{"127.0.0.1", 4711}, {"::1", 65535}},
                  .island = 3,
                  .first_rank = 12,
                  .first_on_host = 4,
                  .ranks_on_host = 7,
                  .configuration = "base_model: /m # \"x\"\n",
                  .chat_template_date = "2026-01-31",
                  .prepared_key = "00ff",
                  .trace = true,
                  .relay_above = 3};
  EXPECT_EQ(parse_boot(print_boot(boot)), boot);
}

TEST(Boot, RefusesWhatIsNotOne) {
  for (const std::string& text : {std::string("{}"), std::string("["), std::string(), std::string(5 << 20, ' ')}) {
    EXPECT_THROW(parse_boot(text), runtime::UserError);
  }
  std::string text = print_boot({.token = "ab"});
  text.replace(text.find("6162"), 4, "zz62");
  EXPECT_THROW(parse_boot(text), runtime::UserError);
}

}  // namespace
}  // namespace cadre::launch
