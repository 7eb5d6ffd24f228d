#include "runtime/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "runtime/error.h"
#include "runtime/manifest.h"
#include "runtime/sha256.h"
#include "tests/unit/runtime/small_disk.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const UtcTime kNow{std::chrono::seconds(1'767'225'600)};

Manifest manifest_of(std::uint64_t step) {
  return {.run_id = "r-1",
          .step = step,
          .generation = 1,
          .view = 2,
          .data_position = {{"epoch", 0}, {"micro_batch", 7}},
          .state = {{"learning_rate", 1e-4}, {"best", {{"step", 3}, {"loss", 0.1}}}}};
}

fs::path save(CheckpointStore& store, std::uint64_t step, const std::string& content = "weights") {
  StagedCheckpoint staged = store.begin(step);
  for (const std::string name : {"a.safetensors", "b.safetensors"}) {
    put(staged.shard_path(name), name + content);
    staged.add_shard(name, sha256_hex(name + content));
  }
  return staged.publish(manifest_of(step), kNow);
}

std::vector<std::uint64_t> steps_of(const std::vector<CheckpointEntry>& entries) {
  std::vector<std::uint64_t> steps;
  for (const auto& entry : entries) steps.push_back(entry.step);
  return steps;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(CheckpointName, IsParsedStrictly) {
  for (const std::uint64_t step : {0ull, 100ull, 99'999'999ull, 100'000'000ull, 18'446'744'073'709'551'615ull}) {
    EXPECT_EQ(step_of_checkpoint(checkpoint_name(step)), step);
  }
  EXPECT_EQ(checkpoint_name(100), "step-00000100");
  for (const char* name : {"", "step-", "step-100", "step-0000010", "step-000000100", "step-+0000100", "step--0000100",
                           "step-00000100 ", "step-00000100.tmp", " step-00000100", "Step-00000100",
                           ".staging-step-00000100", "step-0000010a", "step-18446744073709551616", "step-0x000100"}) {
    EXPECT_EQ(step_of_checkpoint(name), std::nullopt) << name;
  }
}

TEST(PlainFileName, HasNoPartThatLeadsElsewhere) {
  for (const char* name : {"a", "rank-0.g1.v2.safetensors", "A_9"}) EXPECT_TRUE(is_plain_file_name(name)) << name;
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string(".hidden"),
                                  std::string("a/b"), std::string("/etc/passwd"), std::string("a\0b", 3),
                                  std::string("a b"), std::string("é"), std::string(129, 'a')}) {
    EXPECT_FALSE(is_plain_file_name(name)) << name;
  }
}

TEST(CheckpointStore, GivesBackWhatWasSaved) {
  const TestFolder scratch;
  CheckpointStore store(scratch / "checkpoints");
  EXPECT_THAT(store.list(), IsEmpty());
  EXPECT_FALSE(store.newest_valid().found);
  store.clean_up();
  const fs::path folder = save(store, 100);
  EXPECT_EQ(folder, scratch / "checkpoints/step-00000100");
  EXPECT_THAT(names_in(folder), ElementsAre("a.safetensors", "b.safetensors", "manifest.json"));
  EXPECT_THAT(names_in(store.folder()), ElementsAre("step-00000100"));
  EXPECT_EQ(verify_checkpoint(folder), "");

  const Manifest read = store.newest_valid().found.value().manifest;
  const Manifest wrote = manifest_of(100);
  EXPECT_EQ(read.run_id, wrote.run_id);
  EXPECT_EQ(read.step, 100u);
  EXPECT_EQ(read.generation, 1u);
  EXPECT_EQ(read.view, 2u);
  EXPECT_EQ(read.data_position, wrote.data_position);
  EXPECT_EQ(read.state, wrote.state);
  EXPECT_EQ(read.created, "2026-01-01T00:00:00.000Z");
  ASSERT_EQ(read.shards.size(), 2u);
  EXPECT_EQ(read.shards[0], (Shard{"a.safetensors", 20, sha256_hex("a.safetensorsweights")}));
}

TEST(CheckpointStore, ListsNewestFirstAndOnlyCheckpoints) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  for (const std::uint64_t step : {0, 20, 3}) save(store, step);
  fs::create_directory(scratch / "step-4");
  put(scratch / "notes.txt", "");
  EXPECT_THAT(steps_of(store.list()), ElementsAre(20, 3, 0));
  EXPECT_EQ(store.newest_valid(19).found.value().manifest.step, 3u);
  store.remove(3);
  EXPECT_THAT(steps_of(store.list()), ElementsAre(20, 0));
  EXPECT_THROW(store.remove(3), RunError);
}

TEST(CheckpointStore, AnotherOfTheSameStepTakesItsPlace) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  save(store, 5, "old");
  save(store, 5, "new");
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("step-00000005"));
  EXPECT_EQ(get(scratch / "step-00000005/a.safetensors"), "a.safetensorsnew");
  EXPECT_EQ(verify_checkpoint(scratch / "step-00000005"), "");
}

TEST(CheckpointStore, OneGivenUpLeavesNothing) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  {
    StagedCheckpoint staged = store.begin(7);
    put(staged.shard_path("a"), "x");
    staged.add_shard("a");
    StagedCheckpoint moved = std::move(staged);
    EXPECT_THAT(names_in(scratch.path()), ElementsAre(".staging-step-00000007.0.0"));
    EXPECT_THAT(store.list(), IsEmpty());
  }
  EXPECT_THAT(names_in(scratch.path()), IsEmpty());
}

TEST(CheckpointStore, MistakesOfTheCallerAreFailedChecks) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  StagedCheckpoint staged = store.begin(7);
  EXPECT_THROW(staged.shard_path("../a"), std::logic_error);
  EXPECT_THROW(staged.shard_path("manifest.json"), std::logic_error);
  EXPECT_THROW(staged.publish(manifest_of(8), kNow), std::logic_error);
  EXPECT_THROW(staged.add_shard("absent"), RunError);
  put(staged.shard_path("a"), "x");
  EXPECT_THROW(staged.add_shard("a", sha256_hex("y")), RunError);
  staged.add_shard("a", sha256_hex("x"));
  EXPECT_THROW(staged.add_shard("a"), std::logic_error);
}

TEST(CheckpointStore, PublishReadsBackWhatWasDeclared) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  save(store, 7, "old");
  {
    StagedCheckpoint staged = store.begin(7);
    put(staged.shard_path("a"), "written");
    staged.add_shard("a");
    put(staged.shard_path("a"), "changed");
    EXPECT_THROW(staged.publish(manifest_of(7), kNow), RunError);
  }
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("step-00000007"));
  EXPECT_EQ(get(scratch / "step-00000007/a.safetensors"), "a.safetensorsold");
}

TEST(CheckpointStore, EveryFlippedBitAndEveryCutIsFound) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  const fs::path folder = save(store, 1);
  for (const char* name : {"manifest.json", "a.safetensors", "b.safetensors"}) {
    const std::string whole = get(folder / name);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
      put(folder / name, flipped);
      ASSERT_NE(verify_checkpoint(folder), "") << name << " with a flipped bit in byte " << at;
      put(folder / name, whole.substr(0, at));
      ASSERT_NE(verify_checkpoint(folder), "") << name << " cut after " << at;
      ASSERT_NE(store.list().at(0).problem, "") << name << " cut after " << at;
    }
    put(folder / name, whole + " ");
    EXPECT_NE(verify_checkpoint(folder), "") << name << " with a byte more";
    fs::remove(folder / name);
    EXPECT_NE(verify_checkpoint(folder), "") << name << " missing";
    put(folder / name, whole);
  }
  EXPECT_EQ(verify_checkpoint(folder), "");
}

TEST(CheckpointStore, DamagedOnesAreSkippedWithTheReason) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  for (const std::uint64_t step : {1, 2, 3, 4}) save(store, step);
  fs::remove(scratch / "step-00000004/manifest.json");
  put(scratch / "step-00000003/b.safetensors", "b.safetensorswEights");
  fs::rename(scratch / "step-00000002", scratch / "step-00000009");
  const CheckpointStore::Search search = store.newest_valid();
  EXPECT_EQ(search.found.value().manifest.step, 1u);
  EXPECT_THAT(steps_of(search.skipped), ElementsAre(9, 4, 3));
  EXPECT_THAT(search.skipped[0].problem, HasSubstr("it is of step 2, its folder of step 9"));
  EXPECT_THAT(search.skipped[1].problem, HasSubstr("manifest.json"));
  EXPECT_THAT(search.skipped[2].problem, HasSubstr("b.safetensors has the sha256"));
}

// A hash is no signature: a manifest may be made on purpose.
TEST(Manifest, HostileOnesAreRefused) {
  const auto sealed = [](std::string text) {
    const std::string body = text.substr(0, text.rfind(",\n  \"sha256\""));
    return body + ",\n  \"sha256\": \"" + sha256_hex(body) + "\"\n}\n";
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    Manifest manifest = manifest_of(1);
    manifest.shards = {{"a", 1, sha256_hex("x")}, {"b", 1, sha256_hex("y")}};
    std::string text = print_manifest(manifest);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return sealed(text.replace(at, from.size(), to));
  };
  EXPECT_NO_THROW(parse_manifest(with("r-1", "r-2")));
  const struct {
    const char *from, *to, *expected;
  } cases[] = {{"\"format_version\": 1", "\"format_version\": 2", "format_version is 2"},
               {"\"file\": \"a\"", "\"file\": \"../a\"", "plain file name"},
               {"\"file\": \"a\"", "\"file\": \"b\"", "b is listed twice"},
               {"\"bytes\": 1", "\"bytes\": -1", "\"bytes\" is not a count"},
               {"\"bytes\": 1", "\"bytes\": 1.5", "\"bytes\" is not a count"},
               {"\"bytes\": 1", "\"bytes\": \"1\"", "\"bytes\" is not a count"},
               {"\"step\": 1", "\"steps\": 1", "no field \"step\""},
               {"\"run_id\": \"r-1\"", "\"run_id\": 1", "\"run_id\" is not a string"},
               {"\"state\": {", "\"state\": 1, \"x\": {", "\"state\" is not an object"},
               {"\"shards\": [", "\"shards\": 1, \"x\": [", "\"shards\" is not a list"},
               {"{\n  \"format_version\"", "[{\n  \"format_version\"", "not JSON"}};
  for (const auto& one : cases) {
    try {
      parse_manifest(with(one.from, one.to));
      ADD_FAILURE() << one.to << " was taken";
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.expected));
    }
  }
  EXPECT_THROW(parse_manifest(sealed("{\"a\":" + std::string(100'000, '[') + ",\n  \"sha256\"")), UserError);
}

// It was given up with its view, and what is left of it goes while the next view's ranks write it anew.
TEST(CheckpointStore, TwoViewsWriteOneCheckpointApart) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  for (const std::uint64_t view : {1, 2}) {
    fs::create_directory(staging_folder(scratch.path(), 5, {.view = view}));
    put(staging_folder(scratch.path(), 5, {.view = view}) / "shard", "of view " + std::to_string(view));
  }
  StagedCheckpoint staged = store.gather(5, {.view = 2});
  staged.add_shard("shard");
  fs::remove_all(staging_folder(scratch.path(), 5, {.view = 1}));
  staged.publish({.run_id = "a run", .step = 5}, now_utc());
  EXPECT_EQ(get(scratch / "step-00000005/shard"), "of view 2");
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("step-00000005"));
}

TEST(CheckpointStore, WhatADeadProcessLeftIsCleanedUp) {
  const TestFolder scratch;
  CheckpointStore store(scratch.path());
  save(store, 1, "kept");
  save(store, 2, "kept");
  fs::create_directory(scratch / ".staging-step-00000003.1.4");
  put(scratch / ".staging-step-00000003.1.4/a", "half");
  fs::create_directory(scratch / ".removed-step-00000004");
  // Died between the two renames that replace step 1, and after them for step 2.
  fs::rename(scratch / "step-00000001", scratch / ".replaced-step-00000001");
  fs::create_directory(scratch / ".replaced-step-00000002");
  put(scratch / ".staging-notes", "not ours");
  store.clean_up();
  EXPECT_THAT(names_in(scratch.path()), ElementsAre(".staging-notes", "step-00000001", "step-00000002"));
  EXPECT_EQ(verify_checkpoint(scratch / "step-00000001"), "");
  EXPECT_EQ(verify_checkpoint(scratch / "step-00000002"), "");
}

// The coordinator died, and its ranks live.
TEST(CheckpointStore, WhatIsStillWrittenIsCleanedUpToo) {
  const TestFolder scratch;
  const CheckpointStore store(scratch.path());
  const fs::path staging = scratch / ".staging-step-00000003.1.4";
  std::atomic<bool> is_over = false;
  std::thread rank([&] {
    for (int number = 0; !is_over; ++number) std::ofstream(staging / std::to_string(number)) << "a shard";
  });
  for (int round = 0; round < 300; ++round) {
    fs::create_directory(staging);
    for (int wait = 0; wait < 50 && fs::is_empty(staging); ++wait) std::this_thread::yield();
    EXPECT_NO_THROW(CheckpointStore(scratch.path()).clean_up());
  }
  is_over = true;
  rank.join();
  EXPECT_THAT(names_in(scratch.path()), IsEmpty());
}

TEST(CheckpointRetention, KeepsTheNewestAndTheProtected) {
  using Steps = std::vector<std::uint64_t>;
  const std::set<std::uint64_t> steps{0, 10, 20, 30, 40};
  const struct {
    std::size_t limit;
    std::set<std::uint64_t> kept;
    Steps expected;
  } cases[] = {{0, {}, {}},
               {5, {}, {}},
               {9, {}, {}},
               {4, {}, {0}},
               {2, {}, {0, 10, 20}},
               {2, {10}, {0, 20}},
               {1, {40}, {0, 10, 20, 30}},
               {1, {0, 10, 20, 30}, {}},
               {2, {99}, {0, 10, 20}}};
  for (const auto& one : cases) EXPECT_EQ(checkpoints_to_remove(steps, one.limit, one.kept), one.expected);
  EXPECT_THAT(checkpoints_to_remove({}, 1, {}), IsEmpty());
}

TEST(CheckpointStore, AFullDiskCostsOnlyTheNewCheckpoint) {
  SmallDisk disk("size=64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  CheckpointStore store(disk.path() / "checkpoints");
  save(store, 1);
  const auto space_before = fs::space(disk.path()).available;
  // The manifest's state is what no longer fits.
  Manifest large = manifest_of(2);
  large.state["text"] = std::string(80'000, 'x');
  {
    StagedCheckpoint staged = store.begin(2);
    put(staged.shard_path("a"), "x");
    staged.add_shard("a");
    EXPECT_THROW(staged.publish(large, kNow), RunError);
  }
  EXPECT_THAT(names_in(store.folder()), ElementsAre("step-00000001"));
  EXPECT_EQ(fs::space(disk.path()).available, space_before);
  // A shard that the disk cut short: the writer's hash tells.
  {
    StagedCheckpoint staged = store.begin(2);
    const std::string content(80'000, 'x');
    put(staged.shard_path("a"), content);
    EXPECT_THROW(staged.add_shard("a", sha256_hex(content)), RunError);
  }
  EXPECT_EQ(store.newest_valid().found.value().manifest.step, 1u);
  save(store, 3);
  EXPECT_EQ(store.newest_valid().found.value().manifest.step, 3u);
}

TEST(CheckpointStore, AReadOnlyDiskIsSaid) {
  SmallDisk disk("size=64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  CheckpointStore store(disk.path() / "checkpoints");
  save(store, 1);
  if (!disk.make_read_only()) GTEST_SKIP() << "the tmpfs cannot be made read-only";
  try {
    store.begin(2);
    FAIL() << "a read-only disk took a folder";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Read-only file system"));
  }
  EXPECT_THROW(store.remove(1), RunError);
  EXPECT_EQ(store.newest_valid().found.value().manifest.step, 1u);
}

}  // namespace
}  // namespace cadre::runtime
