#include "launch/coordinator_boot.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/error.h"

namespace cadre::launch {

std::string print_coordinator_boot(const CoordinatorBoot& boot) {
  return boost::json::serialize(boost::json::object{{"boot", print_boot(boot.boot)},
                                                    {"term", boot.term},
                                                    {"ranks", boot.ranks},
                                                    {"numbers", boot.numbers},
                                                    {"ranks_return", boot.ranks_return},
                                                    {"steps_per_epoch", boot.steps_per_epoch}});
}

CoordinatorBoot parse_coordinator_boot(const std::string& line) {
  try {
    const boost::json::object object = boost::json::parse(line).as_object();
    return {.boot = parse_boot(std::string(object.at("boot").as_string())),
            .term = object.at("term").to_number<std::uint64_t>(),
            .ranks = object.at("ranks").to_number<std::uint32_t>(),
            .numbers = object.at("numbers").to_number<std::uint32_t>(),
            .ranks_return = object.at("ranks_return").as_bool(),
            .steps_per_epoch = object.at("steps_per_epoch").to_number<std::uint64_t>()};
  } catch (const runtime::UserError&) {
    throw;
  } catch (const std::exception& error) {
    throw runtime::UserError(std::string("the coordinator's boot message: ") + error.what());
  }
}

}  // namespace cadre::launch
