#!/usr/bin/env bash
# Writes the golden clips of this folder with ffmpeg (5.1 or later, with x264, x265, vpx, aom, theora and webp).
#
# Every clip shows 30 frames of 64 × 48 pixels at 10 frames per second unless its line says otherwise. The picture is cut
# into 4 × 2 blocks; block b (row after row) is white where bit b of the frame's number is 1, and black where it is 0.
set -euo pipefail
cd "$(dirname "$0")"

bit='mod(floor(N/pow(2\,floor(X/16)+4*floor(Y/24)))\,2)'
frames="format=yuv420p,geq=lum='16+219*$bit':cb=128:cr=128,trim=end_frame=30"

make() { # NAME ARGUMENT...
    local name=$1
    shift
    local graph="nullsrc=s=64x48:r=${rate:-10},$frames${filter:-}[v]"
    ffmpeg -nostdin -hide_banner -loglevel error -y -filter_complex "$graph" -map "[v]" -map_metadata -1 \
        -fflags +bitexact -flags:v +bitexact -threads 1 "$@" "$name"
}

x264=(-c:v libx264 -g 10 -bf 2 -x264-params "sliced-threads=0")
make h264.mp4 "${x264[@]}"
make h264_fragments.mp4 "${x264[@]}" -movflags frag_keyframe+empty_moov
make h264.mkv "${x264[@]}"
make h264.avi "${x264[@]}"
make h264.ts "${x264[@]}"
make hevc.mp4 -c:v libx265 -g 10 -x265-params "log-level=error:info=0"
make mpeg4.mp4 -c:v mpeg4 -g 10 -bf 2
make mpeg4.avi -c:v mpeg4 -g 10 -bf 2
make motion_jpeg.avi -c:v mjpeg -pix_fmt yuvj420p -q:v 10
make vp8.webm -c:v libvpx -g 10
make vp9.webm -c:v libvpx-vp9 -g 10
make av1.webm -c:v libaom-av1 -cpu-used 8 -g 10
make theora.ogv -c:v libtheora -g 10
# MPEG-2 knows no 10 frames per second: these two show 25.
rate=25 make mpeg2.ts -c:v mpeg2video -g 10 -bf 2
rate=25 make mpeg2.mpg -c:v mpeg2video -g 10 -bf 2
make animated.gif -c:v gif
make animated.png -f apng -c:v apng -pix_fmt rgba
make animated.webp -c:v libwebp_anim -lossless 1 -cr_threshold 0

# Frame n is shown at n² / 100 seconds, of the GIF at n² / 10.
filter=",settb=1/1000,setpts=N*N*10" make variable.mkv "${x264[@]}" -fps_mode passthrough -enc_time_base 1/1000
filter=",settb=1/10,setpts=N*N" make variable.gif -c:v gif -fps_mode passthrough
# Frames that are decoded and never shown: noise makes the encoder want them.
for pass in 1 2; do
    filter=",noise=alls=9:allf=t" make hidden.webm -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 50k -pass "$pass" \
        -arnr-maxframes 7 -arnr-strength 5 -passlogfile hidden
done
rm hidden-0.log
# To be shown turned by 90 degrees, and with pixels twice as wide as high.
make upright.mp4 "${x264[@]}"
ffmpeg -nostdin -hide_banner -loglevel error -y -i upright.mp4 -c copy -map_metadata -1 -metadata:s:v:0 rotate=90 \
    -fflags +bitexact turned.mp4
rm upright.mp4
filter=",setsar=2" make wide.mkv "${x264[@]}"

# With a tone of 440 Hz and 3 s at 8,000 samples per second; a tone alone; a tone with a cover picture.
tone=(-f lavfi -i "sine=f=440:r=8000:d=3")
add() { # ARGUMENT...
    ffmpeg -nostdin -hide_banner -loglevel error -y "${tone[@]}" -i h264.mp4 -map_metadata -1 -fflags +bitexact \
        -flags:a +bitexact -c:a aac -b:a 16k -map 0:a "$@"
}
add -map 1:v -c:v copy tone.mp4
add tone.m4a
add -map 1:v -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic cover.m4a
