// At least one message of each kind, with the values that are easily lost: NaN, infinities, -0, empty and large.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/messages.h"

namespace cadre::runtime {

inline std::vector<MemberMessage> sample_member_messages() {
  const Stamp stamp{3, 1, ~std::uint64_t{0}};
  const Member member{7, 2, "node-ä", 4, -1, {{"10.0.0.1", 4711}, {"/tmp/socket", 0}, {"fe80::1", 65535}}};
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const MicroBatchResult result{5, nan, 1024, 1000, {1, 2, 0xFFFFFFFF}, 9};
  return {
      Join{member},
      Join{},
      Join{{.rank = 1, .shares_folder = true}, "0123456789abcdef"},
      Ready{{100, {{10, 8, 3}, {0, 0, 0}}, 12, std::uint64_t{7} << 40, "d1"}, member.endpoints},
      Progress{stamp, 9, result},
      Prepared{
          stamp, 9, {{0, infinity}, {1, -0.0}, {2, std::numeric_limits<double>::denorm_min()}}, {1, 2}, 3, 0.5, -1},
      Evaluated{stamp, 9, {{0, -infinity, 1}, {1, 2.5, 0}}, 7},
      Report{stamp, 8, 9, {{0, 4}, {6, 7}}, {result, {}}},
      ShardWritten{stamp, 9, std::string("a\0b", 3), "00ff", 12},
      ShardFailed{stamp, 9, "no space left on device"},
      ResultWritten{stamp, {{"", "x"}, {"adapter_model.safetensors", "00"}}, "step 9"},
      Failed{true, std::string(1000, 'x')},
      Note{true, "a line"},
      Rejoin{member, stamp, 8, true, {100, {{10, 8, 3}}, 12, std::uint64_t{7} << 40, "d1"}},
      PeerLost{stamp, 3},
      ReadFile{"/runs/a/checkpoints/step-00000004/manifest.json", 1 << 20, 4096},
      WriteFile{"/runs/a/result.json", ~std::uint64_t{0}, std::string("a\0b", 3)},
      FinishFile{"/runs/a/result.json", 3, "00ff"},
      Heartbeat{},
  };
}

inline std::vector<CoordinatorMessage> sample_coordinator_messages() {
  const Stamp stamp{1, 0, 2};
  const Order train{Order::Kind::kTrain, 4, true, true, true, {{{{0, 2}}, {{2, 4}, {4, 5}}}, {}}, "", ""};
  const Order end{Order::Kind::kEnd, 4, false, false, false, {}, "checkpoint-4", "all steps are done"};
  return {
      Welcome{stamp, 3, 1},
      Welcome{stamp, 3, 1, true, {{"10.0.0.1", 4711}}},
      Refused{"another workload"},
      Fence{stamp},
      NewView{
          {stamp, {{0, 0, "a", 0, 1, {}}, {2, 1, "b", 1, 2, {{"127.0.0.1", 1}}}}}, true, "checkpoint-4", {}, 2, train},
      NewView{{stamp, {{0, 0, "a", 0, 1, {}}, {2, 1, "b", 1, 2, {{"127.0.0.1", 1}}}}},
              false,
              "",
              {{1, 0, 1}, {{0, 0, "a", 0, 1, {}}, {1, 1, "c", 1, 3, {{"127.0.0.1", 2}}, false, true}}},
              2,
              train},
      Commit{stamp, 4, false, std::numeric_limits<double>::quiet_NaN(), end},
      Proceed{stamp, train},
      FileAnswer{"no space left on device", std::uint64_t{1} << 40, std::string("a\0b", 3)},
  };
}

}  // namespace cadre::runtime
