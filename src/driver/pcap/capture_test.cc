// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/capture.h"

#include <gmock/gmock.h>

#include <cstring>

#include "driver/pcap/capture_writer_test_support.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Error error_of(const std::string& path, CaptureOptions options = {}) {
  auto capture = read_capture_file(path, std::move(options));
  EXPECT_FALSE(capture) << path;
  return capture ? Error{} : capture.error();
}

FrameBytes frame(std::size_t size, std::uint8_t fill = 1) { return FrameBytes(size, fill); }

TEST(Capture, ReadsPcapAndPcapngAlike) {
  const Capture pcap = read_capture_file(sample("tiny.pcap"), {}).value();
  const Capture pcapng = read_capture_file(sample("tiny.pcapng"), {}).value();
  EXPECT_EQ(pcap.frames.size(), 20u);
  EXPECT_EQ(pcap.damage, "");
  EXPECT_EQ(pcap.bytes, pcapng.bytes);
  ASSERT_EQ(pcapng.frames.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(pcap.frames[i].size, pcapng.frames[i].size);
}

TEST(Capture, UsesWhatComesBeforeTheDamageAndSaysWhere) {
  const Capture capture = read_capture_file(sample("truncated.pcap"), {}).value();
  EXPECT_EQ(capture.frames.size(), 19u);
  EXPECT_THAT(capture.damage, AllOf(HasSubstr("behind frame 19"), HasSubstr("at byte 4864 of 4903"),
                                    HasSubstr("truncated dump file"), HasSubstr("19 frames before are used")));
}

TEST(Capture, EveryCutOfACaptureIsReadUpToTheCut) {
  const TempFile whole("whole.pcap"), cut("cut.pcap");
  ASSERT_TRUE(write_capture(whole.path(), DLT_EN10MB, {{frame(60)}, {frame(10)}, {frame(1)}}));
  const std::string bytes = whole.read();
  ASSERT_EQ(bytes.size(), 24u + 3 * 16 + 71);
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    cut.write(bytes.substr(0, size));
    const auto capture = read_capture_file(cut.path(), {});
    EXPECT_EQ(capture.has_value(), size >= 24) << size;
    if (!capture) continue;
    const std::size_t frames = (size >= 100 ? 1 : 0) + (size >= 126 ? 1 : 0) + (size >= 143 ? 1 : 0);
    EXPECT_EQ(capture->frames.size(), frames) << size;
    const bool at_border = size == 24 || size == 100 || size == 126 || size == 143;
    EXPECT_EQ(capture->damage.empty(), at_border) << size << capture->damage;
  }
}

TEST(Capture, RefusesWhatIsNoCaptureInOneLine) {
  EXPECT_EQ(error_of("/nowhere/x.pcap").code, ENOENT);
  EXPECT_THAT(error_of("/nowhere/x.pcap").text, HasSubstr("/nowhere/x.pcap: No such file"));
  EXPECT_EQ(error_of("/tmp").code, EISDIR);
  EXPECT_THAT(error_of("/tmp").text, HasSubstr("a directory"));
  const TempFile file("not-a-capture");
  file.write("");
  EXPECT_EQ(error_of(file.path()).code, ENODATA);
  file.write("hello, this is no capture at all");
  EXPECT_EQ(error_of(file.path()).code, EINVAL);
  EXPECT_THAT(error_of(file.path()).text, HasSubstr("not a pcap or pcapng capture"));
  file.write(std::string("\xd4\xc3\xb2\xa1\x02\x00", 6));
  EXPECT_THAT(error_of(file.path()).text, HasSubstr("not a pcap or pcapng capture"));
  file.write(std::string("\x1f\x8b\x08\x00", 4) + std::string(40, 'x'));
  EXPECT_THAT(error_of(file.path()).text, HasSubstr("gunzip"));
  file.write(std::string("\x28\xb5\x2f\xfd", 4) + std::string(40, 'x'));
  EXPECT_THAT(error_of(file.path()).text, HasSubstr("unzstd"));
  for (const std::string& path : {std::string("/tmp"), file.path()})
    EXPECT_EQ(error_of(path).text.find('\n'), std::string::npos);
}

TEST(Capture, ReadsFromAPipe) {
  const TempFile file("pipe.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {{frame(60)}, {frame(61)}}));
  const std::string bytes = file.read();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], bytes.data(), bytes.size() - 5), static_cast<ssize_t>(bytes.size() - 5));
  ::close(ends[1]);
  const auto capture = read_capture(File(::fdopen(ends[0], "rb")), "pipe", {});
  ASSERT_TRUE(capture) << capture.error().text;
  EXPECT_EQ(capture->frames.size(), 1u);
  EXPECT_THAT(capture->damage, HasSubstr("damaged behind frame 1 ("));
}

TEST(Capture, ReadsNoMoreThanAsked) {
  EXPECT_EQ(read_capture_file(sample("tiny.pcap"), {.max_frames = 7}).value().frames.size(), 7u);
  EXPECT_EQ(read_capture_file(sample("truncated.pcap"), {.max_frames = 19}).value().damage, "");
}

TEST(Capture, SaysWhenItDoesNotFit) {
  const Error error = error_of(sample("mixed.pcap"), {.memory_limit = 1'000'000});
  EXPECT_EQ(error.code, ENOMEM);
  EXPECT_THAT(error.text, AllOf(HasSubstr("needs 5 MB"), HasSubstr("1 MB are free"), HasSubstr("max-frames=N")));
}

TEST(Capture, ReportsProgressUpToTheEnd) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> reports;
  ASSERT_TRUE(read_capture_file(sample("tiny.pcap"), {.progress = [&](std::uint64_t done, std::uint64_t total) {
                                  reports.emplace_back(done, total);
                                }}));
  const std::uint64_t size = std::filesystem::file_size(sample("tiny.pcap"));
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back(), std::pair(size, size));
}

TEST(Capture, CountsFramesThatWereCut) {
  const TempFile file("snap.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {{frame(60), Nanos{0}, 1500}, {frame(60)}}));
  EXPECT_EQ(read_capture_file(file.path(), {}).value().cut_frames, 1u);
}

TEST(Capture, TimesNeverGoBack) {
  const TempFile file("times.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB,
                            {{frame(60), Nanos{5000}},
                             {frame(60), Nanos{3000}},
                             {frame(60), Nanos{5500}},
                             {frame(60), Nanos{5400}},
                             {frame(60), Nanos{9000}}}));
  std::vector<std::int64_t> times;
  const Capture capture = read_capture_file(file.path(), {}).value();
  for (const CapturedFrame& f : capture.frames) times.push_back(f.time.count());
  EXPECT_EQ(times, (std::vector<std::int64_t>{0, 0, 500, 500, 4000}));
}

}  // namespace
}  // namespace netrx
