#include "runtime/file_server.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "runtime/error.h"
#include "runtime/file_client.h"
#include "runtime/sha256.h"
#include "served.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void fill(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

// No two pieces are alike.
std::string pattern(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

class FileServing : public ::testing::Test {
 protected:
  const TestFolder scratch_;
  const fs::path run_ = scratch_.path() / "run", here_ = scratch_.path() / "here";
  const fs::path staging_ = run_ / "checkpoints" / ".staging-step-00000007.0.1";
  std::optional<FileServer> server_;

  void SetUp() override {
    fs::create_directories(run_);
    fs::create_directories(here_);
    server_.emplace(FileServerOptions{.token = kToken,
                                      .addresses = {"127.0.0.1"},
                                      .rules = {.readable = {run_ / "checkpoints", run_ / "prepared"},
                                                .checkpoints = run_ / "checkpoints",
                                                .result = run_}});
  }
  FileClient client() const { return {server_->endpoints(), kToken, std::chrono::seconds(10)}; }

  template <typename Do>
  static std::string problem_of(Do action) {
    try {
      action();
    } catch (const RunError& error) {
      return error.what();
    }
    return "none";
  }
};

TEST_F(FileServing, AFileIsCopiedHere) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{kFilePieceBytes}, std::size_t{3 * kFilePieceBytes + 1}}) {
    fill(run_ / "prepared" / "rows", pattern(bytes));
    FileClient it = client();
    it.fetch((run_ / "prepared" / "rows").string(), here_ / "rows");
    EXPECT_EQ(content_of(here_ / "rows"), pattern(bytes));
  }
}

TEST_F(FileServing, AShardArrivesWhole) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{kFilePieceBytes}, std::size_t{3 * kFilePieceBytes + 1}}) {
    FileClient it = client();
    FileUpload upload(it, (staging_ / "shard").string());
    const std::string content = pattern(bytes);
    for (std::size_t at = 0; at < bytes; at += 300'001)
      upload.write(std::as_bytes(std::span(content).subspan(at)).first(std::min<std::size_t>(300'001, bytes - at)));
    EXPECT_EQ(upload.finish(), sha256_hex(content));
    EXPECT_EQ(upload.bytes(), bytes);
    EXPECT_EQ(content_of(staging_ / "shard"), content);
    EXPECT_EQ(entries(staging_), 1u);
  }
}

TEST_F(FileServing, SeveralAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string name = "part-" + std::to_string(i), content = pattern(2'000'000 + static_cast<std::size_t>(i));
      fill(here_ / name, content);
      FileClient it = client();
      it.store(here_ / name, (run_ / name).string());
      EXPECT_EQ(content_of(run_ / name), content);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FileServing, WhatIsNotFinishedDisappears) {
  {
    FileClient it = client();
    FileUpload upload(it, (staging_ / "shard").string());
    const std::string content = pattern(kFilePieceBytes);
    upload.write(std::as_bytes(std::span(content)));
    EXPECT_EQ(entries(staging_), 1u);
  }
  server_.reset();
  EXPECT_EQ(entries(staging_), 0u);
}

TEST_F(FileServing, WhatTheLaunchNodeHasNotIsSaid) {
  FileClient it = client();
  const std::string path = (run_ / "prepared" / "none").string();
  EXPECT_EQ(problem_of([&] { it.fetch(path, here_ / "none"); }),
            "on the launch node: " + path + ": No such file or directory");
  EXPECT_EQ(entries(here_), 0u);
  fill(run_ / "prepared" / "rows", "goes on");
  it.fetch((run_ / "prepared" / "rows").string(), here_ / "rows");
  EXPECT_EQ(content_of(here_ / "rows"), "goes on");
}

TEST_F(FileServing, WhatTheDiskRefusesIsSaid) {
  fill(run_ / "checkpoints", "no folder");
  FileClient it = client();
  FileUpload upload(it, (staging_ / "shard").string());
  EXPECT_NE(problem_of([&] { upload.finish(); }).find("cannot be made: "), std::string::npos);
}

TEST_F(FileServing, AServerThatEndsEndsWhatWaits) {
  FileClient it = client();
  FileUpload upload(it, (staging_ / "shard").string());
  const std::string content = pattern(kFilePieceBytes);
  upload.write(std::as_bytes(std::span(content)));
  server_.reset();
  EXPECT_THROW(upload.finish(), ControlLost);
}

// What no rank of this program says, by the raw messages.
class HostileFileServing : public FileServing {
 protected:
  std::string answer_to(const MemberMessage& message) {
    connection_->send(message);
    const CoordinatorMessage answer = connection_->next();
    return std::get<FileAnswer>(answer).problem;
  }
  void SetUp() override {
    FileServing::SetUp();
    connection_.emplace(
        ControlClientOptions{.endpoints = server_->endpoints(), .token = kToken, .limits = kFileChannelLimits});
  }
  std::optional<ControlClient> connection_;
};

TEST_F(HostileFileServing, PiecesOutOfOrderAreRefused) {
  const std::string path = (staging_ / "shard").string();
  EXPECT_NE(answer_to(WriteFile{path, 5, "x"}), "");
  EXPECT_EQ(answer_to(WriteFile{path, 0, "x"}), "");
  EXPECT_NE(answer_to(WriteFile{path, 7, "x"}), "");
  EXPECT_NE(answer_to(WriteFile{(staging_ / "other").string(), 1, "x"}), "");
  EXPECT_NE(answer_to(FinishFile{(staging_ / "other").string(), 1, sha256_hex("x")}), "");
}

TEST_F(HostileFileServing, WhatIsNotWhatWasSentDoesNotAppear) {
  const std::string path = (staging_ / "shard").string();
  for (const FinishFile& end : {FinishFile{path, 2, sha256_hex("x")}, FinishFile{path, 1, sha256_hex("y")}}) {
    EXPECT_EQ(answer_to(WriteFile{path, 0, "x"}), "");
    EXPECT_NE(answer_to(end), "");
    EXPECT_EQ(entries(staging_), 0u);
  }
}

TEST_F(HostileFileServing, AnEndlessPieceIsNotMade) {
  fill(run_ / "prepared" / "rows", pattern(3 * kFilePieceBytes));
  connection_->send(ReadFile{(run_ / "prepared" / "rows").string(), 0, ~std::uint32_t{0}});
  EXPECT_EQ(std::get<FileAnswer>(connection_->next()).bytes.size(), kFilePieceBytes);
  connection_->send(ReadFile{(run_ / "prepared" / "rows").string(), ~std::uint64_t{0}, 1});
  EXPECT_EQ(std::get<FileAnswer>(connection_->next()).bytes, "");
}

TEST_F(HostileFileServing, WhoAsksForSomethingElseIsClosed) {
  connection_->send(Join{});
  EXPECT_THROW(connection_->next(), ControlLost);
}

TEST(FileRules, NameWhatMayBeReadAndWritten) {
  const FileRules rules{.readable = {"out/checkpoints", "/cache/", "../old/step-00000004"},
                        .checkpoints = "out/checkpoints",
                        .result = "out",
                        .traces = "out/trace"};
  for (const char* path : {"out/checkpoints/step-00000001/manifest.json", "/cache/ab/rows.safetensors",
                           "../old/step-00000004/manifest.json"}) {
    EXPECT_EQ(problem_with_reading(rules, path), "");
  }
  for (const char* path : {"", "out/run.json", "out/checkpoints", "out/checkpoints/../run.json", "/etc/passwd",
                           "/cache/../etc/passwd", "out/checkpoints/./x", "out/checkpointsx/y", "/cachex/y"}) {
    EXPECT_NE(problem_with_reading(rules, path), "") << path;
  }
  for (const char* path : {"out/checkpoints/.staging-step-00000001.0.3/state.safetensors",
                           "out/adapter_model.safetensors", "out/trace/rank-3.json", "out/trace/rank-3.2.json"}) {
    EXPECT_EQ(problem_with_writing(rules, path), "");
  }
  for (const char* path :
       {"", "out/run.json", "out/journal.jsonl", "out/journal.term-00000001.jsonl", "out/.lock", "out/logs/x",
        "out/trace/x", "out/trace/a/rank-3.json", "out/trace/../rank-3.json", "/etc/passwd",
        "out/checkpoints/step-00000001/state.safetensors", "out/checkpoints/.staging-step-00000001/x",
        "out/checkpoints/.staging-step-00000001.0/x", "out/checkpoints/.staging-step-00000001.0.3x/x",
        "out/checkpoints/.staging-step-00000001.0.3/.x", "out/checkpoints/.staging-step-00000001.0.3/../../x",
        "out/checkpoints/.removed-step-00000001/x", "/cache/ab/rows.safetensors"}) {
    EXPECT_NE(problem_with_writing(rules, path), "") << path;
  }
}

}  // namespace
}  // namespace cadre::runtime
