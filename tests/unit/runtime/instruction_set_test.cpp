#include "runtime/instruction_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace cadre::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Flags = std::set<std::string>;

const Flags kAvx2 = {"avx2", "fma", "sse4_2"};
const Flags kAvx512 = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"};

Flags with(Flags flags, const Flags& more) {
  flags.insert(more.begin(), more.end());
  return flags;
}

const Flags kBf16 = with(kAvx512, {"avx512_vnni", "avx512_bf16"});
const Flags kAmx = with(kBf16, {"avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"});

TEST(InstructionSet, PinsTheWidestThatAProcessorHas) {
  const struct {
    Flags flags;
    const char *aten, *mkl, *onednn;
  } cases[] = {
      {kAvx2, "avx2", "AVX2", "AVX2"},
      {kAvx512, "avx512", "AVX512", "AVX512_CORE"},
      {with(kAvx512, {"avx512_vnni"}), "avx512", "AVX512", "AVX512_CORE_VNNI"},
      {kBf16, "avx512", "AVX512", "AVX512_CORE_BF16"},
      {kAmx, "avx512", "AVX512", "AVX512_CORE_AMX"},
      {with(kAmx, {"amx_fp16"}), "avx512", "AVX512", "AVX512_CORE_AMX_FP16"},
      {with(kAvx2, {"avx512f"}), "avx2", "AVX2", "AVX2"},  // Xeon Phi: AVX-512, but not what the libraries need of it
  };
  for (const auto& one : cases) {
    const InstructionPins expected{
        {"ATEN_CPU_CAPABILITY", one.aten}, {"MKL_CBWR", one.mkl}, {"ONEDNN_MAX_CPU_ISA", one.onednn}};
    EXPECT_EQ(widest_pins(one.flags), expected) << one.onednn;
    EXPECT_EQ(problem_of_pins(expected, one.flags), "") << one.onednn;
  }
  EXPECT_EQ(widest_pins({"asimd"}), InstructionPins());
}

TEST(InstructionSet, RefusesWhatAProcessorCannotDo) {
  EXPECT_EQ(problem_of_pins({{"ATEN_CPU_CAPABILITY", "avx512"}}, kAvx2),
            "ATEN_CPU_CAPABILITY=avx512: this processor lacks avx512f, avx512bw, avx512dq, avx512vl; the most that it "
            "can is avx2");
  EXPECT_EQ(problem_of_pins({{"ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX"}}, with(kBf16, {"avx512_fp16"})),
            "ONEDNN_MAX_CPU_ISA=AVX512_CORE_AMX: this processor lacks amx_tile, amx_int8, amx_bf16; the most that it "
            "can is AVX512_CORE_FP16");
  EXPECT_EQ(problem_of_pins({{"MKL_CBWR", "AVX2"}}, {"sse2"}),
            "MKL_CBWR=AVX2: this processor lacks avx2, fma; use another machine");
  EXPECT_EQ(problem_of_pins({{"MKL_CBWR", "AVX2"}, {"ATEN_CPU_CAPABILITY", "avx2"}}, kAmx), "");  // narrower is fine
}

TEST(InstructionSet, RefusesWhatALibraryWouldIgnore) {
  for (const auto& [name, value] :
       InstructionPins{{"ATEN_CPU_CAPABILITY", "default"}, {"MKL_CBWR", "AUTO"}, {"ONEDNN_MAX_CPU_ISA", "av\nx2"}}) {
    EXPECT_THAT(problem_of_pins({{name, value}}, kAmx),
                AllOf(HasSubstr(name + ": expected one of "), HasSubstr("unset")));
  }
  EXPECT_THAT(problem_of_pins({{"MKL_CBWR", "AUTO"}}, kAmx), HasSubstr("AVX512,STRICT, AVX512, found \"AUTO\""));
}

TEST(InstructionSet, IsReadFromTheEnvironment) {
  ASSERT_EQ(setenv("MKL_CBWR", "AVX2", 1), 0);
  ASSERT_EQ(setenv("ATEN_CPU_CAPABILITY", "avx2", 1), 0);
  ASSERT_EQ(unsetenv("ONEDNN_MAX_CPU_ISA"), 0);
  EXPECT_EQ(shell_words(pins_in_environment()), "ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2");
}

}  // namespace
}  // namespace cadre::runtime
